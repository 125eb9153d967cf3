/** The version of this package: that of its manifest, which is not there for who has bundled the client. */
export const VERSION = '0.3.0';
