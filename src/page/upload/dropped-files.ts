/** A file that is to be appended, and where: its name, behind those of the folders that it was in, as in `a/b.log`. */
export interface NamedFile {
  readonly path: string;
  readonly file: File;
}

/** Files that somebody has chosen. */
export function chosenFiles(files: Iterable<File>): NamedFile[] {
  return Array.from(files, (file) => ({ path: file.name, file }));
}

/**
 * What was dropped, and all that is in the folders among it. To be called while the event is handled: later nothing is said
 * of it.
 *
 * @throws what the browser does when a folder cannot be read
 */
export function droppedFiles({ items, files }: DataTransfer): Promise<NamedFile[]> {
  const entries = [...items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  // What a script has made has no entries.
  if (entries.length === 0) return Promise.resolve(chosenFiles(files));
  return filesIn(entries);
}

async function filesIn(entries: readonly FileSystemEntry[]): Promise<NamedFile[]> {
  const found: NamedFile[] = [];
  for (const entry of entries) {
    if (isDirectory(entry)) {
      // There may be more than a call may have arguments.
      for (const file of await filesIn(await entriesOf(entry))) found.push(file);
    } else if (isFile(entry)) {
      found.push({ path: entry.fullPath.replace(/^\//, ''), file: await fileOf(entry) });
    }
  }
  return found;
}

function isDirectory(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory;
}

function isFile(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile;
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** Browsers tell some at a time, and at last none. */
async function entriesOf(directory: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = directory.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return all;
    all.push(...some);
  }
}
