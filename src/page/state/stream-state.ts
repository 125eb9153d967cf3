/** Why a stream has ended, as the server says it; `missing`: it did not come as long as it was waited for. */
export type StreamEnd = 'finished' | 'interrupted' | 'deleted' | 'truncated';

/** What is known of what the page shows. */
export type StreamState =
  | { readonly kind: 'connecting' }
  /** There is no such file yet; the page waits for it. */
  | { readonly kind: 'missing' }
  | { readonly kind: 'live' }
  /** A stream to which nobody appends, and which is not closed. */
  | { readonly kind: 'open' }
  /** The appender was lost, and may come back. */
  | { readonly kind: 'waiting' }
  /** A directory of which is told what changes. */
  | { readonly kind: 'watching' }
  /** A directory as it was when it was listed: nobody tells what changes. */
  | { readonly kind: 'listed' }
  | {
      readonly kind: 'ended';
      readonly reason: StreamEnd;
      /** More about it, for people. */
      readonly detail?: string | undefined;
      /** Exit status of the command that wrote it. */
      readonly status?: number | undefined;
    }
  /** A file as it lies there: the server knows of nobody who has appended to it. */
  | { readonly kind: 'stored' }
  /** The server is gone; the next attempt is at `at`, in milliseconds since 1970. Undefined: it is under way. */
  | { readonly kind: 'reconnecting'; readonly at?: number | undefined }
  /**
   * It can only be read as it is, since nobody tells what changes: it is being read, or is over; a part of it, if it is longer
   * than what the page keeps.
   */
  | { readonly kind: 'read'; readonly isOver: boolean; readonly isPart: boolean }
  /** Nothing passes WebSockets on to the page: it is looked from time to time what is there. */
  | { readonly kind: 'polled' }
  /** Nobody may read it without a token, or not with this one. */
  | { readonly kind: 'locked'; readonly refused: boolean }
  /** Whatever is at the path cannot be followed, for a reason that does not pass. */
  | { readonly kind: 'failed'; readonly detail: string };

/** How a state looks: its colour, and the shape that says the same without colour. */
export type Tone = 'live' | 'waiting' | 'done' | 'bad' | 'idle';

/** A state in words. */
export interface StateWords {
  readonly tone: Tone;
  /** What stands in the badge. */
  readonly word: string;
  /** What it means, as a sentence. */
  readonly meaning: string;
}

const ENDS: Record<StreamEnd, StateWords> = {
  finished: { tone: 'done', word: 'Finished', meaning: 'The appender has ended it: this is everything.' },
  interrupted: {
    tone: 'bad',
    word: 'Interrupted',
    meaning: 'The appender was lost and did not come back: something may be missing.',
  },
  deleted: {
    tone: 'bad',
    word: 'Deleted',
    meaning: 'The file was deleted, renamed or replaced. This is what it was.',
  },
  truncated: { tone: 'bad', word: 'Truncated', meaning: 'The file was cut. This is what was in it before.' },
};

/** Says a state in words. `now` in milliseconds since 1970. */
export function wordsOf(state: StreamState, now: number): StateWords {
  switch (state.kind) {
    case 'connecting':
      return { tone: 'idle', word: 'Connecting', meaning: 'The server is asked.' };
    case 'missing':
      return {
        tone: 'waiting',
        word: 'Not there yet',
        meaning: 'There is no such file yet. The page waits for it.',
      };
    case 'live':
      return { tone: 'live', word: 'Live', meaning: 'It is being written.' };
    case 'open':
      return { tone: 'live', word: 'Open', meaning: 'Nobody writes at the moment; what comes is shown.' };
    case 'waiting':
      return { tone: 'waiting', word: 'Waiting', meaning: 'The appender was lost, and may come back.' };
    case 'watching':
      return { tone: 'live', word: 'Live', meaning: 'What changes here is shown as it changes.' };
    case 'listed':
      return {
        tone: 'idle',
        word: 'Listed',
        meaning: 'What changes here is not told: the key r lists it again.',
      };
    case 'read':
      return wordsOfRead(state);
    case 'polled':
      return {
        tone: 'idle',
        word: 'Not live',
        meaning:
          'Something between the server and this page passes no WebSockets: it is looked every few seconds.',
      };
    case 'reconnecting':
      return {
        tone: 'waiting',
        word: state.at === undefined ? 'Reconnecting' : `Reconnecting in ${secondsUntil(state.at, now)} s`,
        meaning: 'The server cannot be reached. What is shown was true then.',
      };
    case 'locked':
      return {
        tone: 'bad',
        word: 'Token needed',
        meaning: state.refused
          ? 'This token may not read it.'
          : 'It is not for everybody: who has a token may read it.',
      };
    case 'failed':
      return { tone: 'bad', word: 'Failed', meaning: state.detail };
    case 'stored':
      return { tone: 'idle', word: 'Stored', meaning: 'The file as it is. Nobody has appended to it here.' };
    case 'ended':
      return wordsOfEnd(state);
  }
}

/** Whether the server tells at the moment who follows it, and how much comes. */
export function isTold({ kind }: StreamState): boolean {
  return kind === 'live' || kind === 'open' || kind === 'waiting';
}

/** In these states nothing comes by itself. */
const OVER: ReadonlySet<StreamState['kind']> = new Set(['ended', 'stored', 'failed', 'locked']);

/** Whether what is shown may still grow by itself. */
export function mayGrow(state: StreamState): boolean {
  const { kind } = state;
  return kind === 'read' ? !state.isOver : !OVER.has(kind);
}

function wordsOfRead({ isOver, isPart }: StreamState & { kind: 'read' }): StateWords {
  if (!isOver) return { tone: 'idle', word: 'Loading', meaning: 'It is read once, from its beginning.' };
  const meaning = 'What changes there is not told: this is what it was when the page was loaded.';
  return {
    tone: 'idle',
    word: isPart ? 'Not live, in part' : 'Not live',
    meaning: isPart ? `${meaning} Raw has the rest, which is more than is shown.` : meaning,
  };
}

function wordsOfEnd({ reason, detail, status }: StreamState & { kind: 'ended' }): StateWords {
  const { tone, word, meaning } = ENDS[reason];
  if (status !== undefined && status !== 0) {
    return {
      tone: 'bad',
      word: `${word}, exit ${status}`,
      meaning: `${meaning} The command failed with status ${status}.`,
    };
  }
  return { tone, word, meaning: detail === undefined || detail === '' ? meaning : `${meaning} ${detail}` };
}

function secondsUntil(at: number, now: number): number {
  return Math.max(1, Math.ceil((at - now) / 1000));
}
