/** Notified of what was found and done, for the operator. */
export type Report = (message: string, detail: Readonly<Record<string, unknown>>) => void;
