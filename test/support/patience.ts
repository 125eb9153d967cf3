/**
 * How long a test waits for what must happen, in milliseconds, before it takes
 * it for something that hangs: minutes, so that on a slow machine the suite is
 * slower, not red. The long forms (`npm run soak`) do more at a time.
 */
export const PATIENCE_MS = process.env.HTTPFSTREAM_SOAK ? 1_200_000 : 120_000;

/** A time limit that is to play no part, in milliseconds: whoever waits for it to pass has waited in vain. */
export const NEVER_MS = 10 * PATIENCE_MS;
