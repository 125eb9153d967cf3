const TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

/**
 * A configuration of nginx that keeps all of its files in a directory, and runs until it is ended.
 *
 * @param http what stands in its block `http`
 */
export function nginxConfiguration(directory: string, http: readonly string[]): string {
  return [
    // Started by root, it would become somebody who cannot read the temporary directory.
    process.getuid?.() === 0 ? 'user root;' : '',
    'daemon off;',
    'master_process off;',
    `pid ${directory}/nginx.pid;`,
    'events {}',
    'http {',
    'access_log off;',
    ...TEMPORARY.map((name) => `${name}_temp_path ${directory}/${name};`),
    ...http,
    '}',
    '',
  ].join('\n');
}

/** Arguments with which nginx runs with a configuration. */
export function nginxArguments(directory: string, configuration: string): readonly string[] {
  return ['-p', directory, '-e', 'stderr', '-c', configuration];
}
