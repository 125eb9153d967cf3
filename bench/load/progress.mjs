const CHECK_MS = 500;
const STALL_MS = 10_000;

/**
 * Settles as `promise` does, or rejects when `progress()` has given the same
 * number for ten seconds, or `stallMs`.
 */
export async function whileProgressing(promise, progress, what, { stallMs = STALL_MS } = {}) {
  let timer;
  const stalled = new Promise((_, reject) => {
    let last = progress();
    let since = performance.now();
    timer = setInterval(() => {
      const now = progress();
      if (now !== last) {
        last = now;
        since = performance.now();
      } else if (performance.now() - since > stallMs) {
        reject(new Error(`${what}: nothing moved for ${stallMs / 1000} s at ${now}`));
      }
    }, CHECK_MS);
  });
  try {
    return await Promise.race([promise, stalled]);
  } finally {
    clearInterval(timer);
  }
}
