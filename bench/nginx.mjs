import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const NCHAN_MODULE = '/usr/lib/nginx/modules/ngx_nchan_module.so';

/** Where the nginx program is, or undefined. */
export function findNginx() {
  return findProgram('nginx', ['/usr/sbin', '/usr/local/sbin', '/opt/homebrew/bin']);
}

/** Whether nginx's nchan module is installed. */
export function hasNchan() {
  return findNginx() !== undefined && existsSync(NCHAN_MODULE);
}

/** The path of a program in `PATH` or one of `places`, or undefined. */
export function findProgram(name, places = []) {
  const directories = [...(process.env.PATH ?? '').split(path.delimiter), ...places].filter(Boolean);
  return directories.map((directory) => path.join(directory, name)).find((file) => existsSync(file));
}

/** Writes a configuration that serves the files below `root`; returns nginx's arguments. */
export function writeStaticConfig(directory, root, port) {
  return writeConfig(
    directory,
    '',
    `
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  server {
    listen 127.0.0.1:${port};
    root ${root};
  }`,
  );
}

/** Writes a configuration that passes everything on as it comes, and keeps nothing; returns nginx's arguments. */
export function writeProxyConfig(directory, upstream, port) {
  return writeConfig(
    directory,
    '',
    `
  tcp_nodelay on;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass ${upstream};
      proxy_http_version 1.1;
      proxy_buffering off;
    }
  }`,
  );
}

/**
 * Writes a configuration that publishes at `/pub` and subscribes at `/sub`, in
 * memory; returns nginx's arguments.
 *
 * @param {number} bufferMessages messages that nchan keeps: a subscriber that falls further behind loses some
 * @param {number} bufferBytes room for these messages
 */
export function writeNchanConfig(directory, port, { bufferMessages, bufferBytes }) {
  return writeConfig(
    directory,
    `load_module ${NCHAN_MODULE};`,
    `
  tcp_nodelay on;
  nchan_shared_memory_size ${Math.ceil(bufferBytes / 1024 / 1024)}m;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    client_max_body_size 16m;
    client_body_buffer_size 1m;
    nchan_message_buffer_length ${bufferMessages};
    nchan_message_timeout 10m;
    location /pub {
      nchan_publisher websocket;
      nchan_channel_id $arg_id;
    }
    location /sub {
      nchan_subscriber websocket;
      nchan_channel_id $arg_id;
      nchan_subscriber_first_message newest;
    }
  }`,
  );
}

function writeConfig(directory, preamble, http) {
  const scratch = path.join(directory, 'nginx');
  mkdirSync(scratch);
  const config = path.join(scratch, 'nginx.conf');
  // Started by root, it would become somebody who cannot read the temporary directory.
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const temporaryPaths = ['client_body', 'proxy', 'fastcgi', 'scgi', 'uwsgi']
    .map((name) => `  ${name}_temp_path ${scratch}/${name};`)
    .join('\n');
  // One process that does the work itself is measured, and ended, like any other server.
  writeFileSync(
    config,
    `${preamble}
${user}
daemon off;
master_process off;
pid ${scratch}/nginx.pid;
error_log ${scratch}/error.log crit;
events { worker_connections 60000; }
http {
  access_log off;
${temporaryPaths}${http}
}
`,
  );
  return ['-p', scratch, '-e', path.join(scratch, 'error.log'), '-c', config];
}
