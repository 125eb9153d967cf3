/** The version of this package, as in its manifest, which a bundled client does not have. */
export const VERSION = '0.3.0';
