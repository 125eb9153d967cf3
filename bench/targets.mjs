// What is wanted beside the baseline, where it is only to be as good: two runs of the same code differ by a tenth.

/** For figures of which more is better. */
export const NOT_LOWER = { atLeast: 0.9, ofPeer: 'baseline' };

/** For figures of which less is better. */
export const NOT_HIGHER = { atMost: 1.1, ofPeer: 'baseline' };
