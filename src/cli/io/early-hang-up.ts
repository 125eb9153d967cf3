let hasCome = false;

function note(): void {
  hasCome = true;
}

/**
 * Keeps SIGHUP until somebody listens: without a listener it ends the process, and to whoever has just changed what is to
 * be read again, a server whose libraries are being loaded looks started. To be called before anything else is loaded.
 */
export function holdHangUp(): void {
  process.on('SIGHUP', note);
}

/** To be called when somebody listens, who gets what has come until now. Idempotent. */
export function passHangUpOn(): void {
  process.off('SIGHUP', note);
  if (!hasCome) return;
  hasCome = false;
  process.kill(process.pid, 'SIGHUP');
}
