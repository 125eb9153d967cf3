/**
 * The words between the server and the viewer's pages. Browser-safe.
 */

/** What a page shows. Each kind has a script of its own, and may have a style. */
export type PageKind = 'text' | 'directory' | 'records' | 'json' | 'image' | 'audio' | 'video' | 'binary';

/** Query parameter with which a resource is read as bytes, whoever asks; a directory as the listing. */
export const RAW_QUERY = 'raw';

/** Query parameter for the page, whoever asks; with a value, for data that a page needs. */
export const VIEW_QUERY = 'view';

/** Where the scripts and styles of pages are, below the server's prefix. Files there are not served. */
export const ASSETS_PATH = '/-/viewer';

/** Where a page's script and style are, relative to its URL. */
export interface PageAssets {
  script: string;
  style?: string;
}

/** The id of the element in which a page says what it is about: JSON, {@link PageData}. */
export const PAGE_DATA_ID = 'httpfstream-page';

/** What a page is about. Nothing that has to be permitted: that is asked for with `?raw`. */
export interface PageData {
  /**
   * What is shown. By the name alone, where the server may not look or nothing is there yet: the answer to `?raw` has the
   * content type, and may turn out to be of another kind.
   */
  kind: PageKind;
  /** The resource's path below the server's prefix, decoded; that of a directory ends with a slash. */
  path: string;
  /** With which status the page came: 200; 401 or 403: a token is needed, or another one; 404: it may come; 410. */
  status: number;
  /** The kinds that there are. */
  kinds: Partial<Record<PageKind, PageAssets>>;
}

/** Value of {@link VIEW_QUERY} for the list of a directory: `GET` has it as a {@link DirectoryList}. */
export const LIST_VIEW = 'list';

/** How an entry of a directory stands: how it is appended to, or how that has ended; `relay`: it comes from an upstream. */
export type EntryState = 'live' | 'waiting' | 'finished' | 'interrupted' | 'relay';

/**
 * An entry of a directory: its name, that of a directory with a slash at its end; how many bytes, and null for
 * directories and where nobody is to know; when it changed last, in milliseconds since 1970; how it stands, null for most
 * directories, and for files of no append to which the server knows; and the exit status of the command whose output it is, if that is known.
 */
export type ListRow = [
  name: string,
  size: number | null,
  modifiedMs: number,
  state: EntryState | null,
  status?: number,
];

/** What is in a directory, by name. */
export interface DirectoryList {
  path: string;
  rows: ListRow[];
  /** Whether there are more names. */
  truncated: boolean;
}
