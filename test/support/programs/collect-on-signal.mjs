// Preloaded, with --expose-gc, into a process whose memory is measured: what it
// keeps and what it only has not thrown away yet look the same from outside.

process.on('SIGUSR2', () => {
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  process.stdout.write(`collected, kept ${heapUsed + external} bytes\n`);
});
