import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const START_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 5000;
const END_TIMEOUT_MS = 30_000;

const running = new Set();

/**
 * Starts a program in a process group of its own: killing it also kills what
 * it has started itself, and a Ctrl-C reaches it through us only.
 */
export function startProcess(command, args, { cwd, env } = {}) {
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  child.output = '';
  child.errorOutput = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    child.output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    child.errorOutput += text;
  });
  child.closed = new Promise((resolve) => {
    child.once('close', resolve);
    child.once('error', (error) => {
      child.errorOutput += error.message;
      resolve(undefined);
    });
  }).then(() => running.delete(child));
  running.add(child);
  return child;
}

/** Runs a program to its end and returns what it printed; kills it after `timeoutMs`. */
export async function runProcess(command, args, { timeoutMs }) {
  const child = startProcess(command, args);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    killGroup(child);
  }, timeoutMs);
  await child.closed;
  clearTimeout(timer);
  if (timedOut) throw new Error(`${command} was not done after ${timeoutMs} ms`);
  if (child.exitCode !== 0) throw new Error(lastLine(child.errorOutput) || `${command} failed`);
  return child.output;
}

/** Ends a process and its group, and waits until it has gone. */
export async function stopProcess(child) {
  killGroup(child);
  await Promise.race([child.closed, delay(STOP_TIMEOUT_MS, undefined, { ref: false })]);
}

/** Sends a process a signal and waits until it has gone; throws when it has not. */
export async function endProcess(child, signal) {
  child.kill(signal);
  const ended = child.closed.then(() => true);
  if (!(await Promise.race([ended, delay(END_TIMEOUT_MS, false, { ref: false })]))) {
    throw new Error(`the server had not ended ${END_TIMEOUT_MS / 1000} s after ${signal}`);
  }
}

/** Kills everything that still runs. Synchronous, for the process's own end. */
export function killAll() {
  for (const child of running) killGroup(child);
}

/** Waits until something accepts connections at `port`. */
export async function waitForPort(port, child) {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!(await accepts(port))) {
    if (!running.has(child)) throw new Error(`the server ended at once: ${lastLine(child.errorOutput)}`);
    if (performance.now() > deadline) throw new Error(`nothing listens after ${START_TIMEOUT_MS} ms`);
    await delay(20);
  }
}

/**
 * Below the ports that Linux, as it is set by itself, gives to who asks for any. One of those could be given to the very connection
 * that looks whether somebody listens there: it would reach itself.
 */
const FIRST_PORT = 10_000;
const LAST_PORT = 30_000;

/** A port of 127.0.0.1 that nobody listens on at the moment. */
export async function freePort() {
  for (;;) {
    const server = net.createServer().listen(randomInt(FIRST_PORT, LAST_PORT), '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch (error) {
      if (error.code === 'EADDRINUSE') continue;
      throw error;
    }
    const { port } = server.address();
    server.close();
    await once(server, 'close');
    return port;
  }
}

function killGroup(child) {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function lastLine(text) {
  return text.trim().split('\n').at(-1);
}
