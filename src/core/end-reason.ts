/**
 * Why a feed ended: its appender `finished` cleanly, was lost or failed
 * (`interrupted`), or the server shuts down (`shutdown`).
 */
export type EndReason = 'finished' | 'interrupted' | 'shutdown';
