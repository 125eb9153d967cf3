import { execFileSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import {
  chmod,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FileMaker } from '../../../src/storage/root/file-maker.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { RootDirectory } from '../../../src/storage/root/root-directory.ts';
import {
  ForbiddenPathError,
  InvalidPathError,
  InvalidRootError,
  PathConflictError,
  ResourceNotFoundError,
  StorageError,
} from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { descriptorsBackTo, openDescriptors } from '../../support/disk/descriptors.ts';
import { asOrdinaryUser, giveToOrdinaryUser } from '../../support/disk/ordinary-user.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { diskDirectory } from '../../support/server/server.ts';

/** A root with a neighbour that nobody may get at. */
async function makeRoot() {
  const base = await realpath(await diskDirectory());
  const directory = path.join(base, 'root');
  const outside = path.join(base, 'outside');
  await mkdir(outside);
  await writeFile(path.join(outside, 'secret'), 'secret');
  const root = await Root.open(directory);
  const at = (...names: string[]) => path.join(directory, ...names);
  return { root, at, directory, outside };
}

const resource = (text: string) => ResourcePath.parse(text);

async function readText(root: Root, text: string): Promise<string> {
  const file = await root.openRead(resource(text));
  try {
    return (await file.read(0, file.stat.size)).toString();
  } finally {
    await file.close();
  }
}

async function appendText(root: Root, text: string, bytes: string): Promise<string> {
  const file = await root.openAppend(resource(text), { create: true });
  try {
    await file.write([Buffer.from(bytes)]);
    return file.stat.identity;
  } finally {
    await file.close();
  }
}

async function names(root: Root, text: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of root.list(resource(text))) found.push(name);
  return found.sort();
}

const modeOf = async (file: string) => (await stat(file)).mode & 0o777;

describe('opening a root', () => {
  it('makes the directory, and those that lead to it', async () => {
    const directory = path.join(await diskDirectory(), 'a', 'b');
    await Root.open(directory);
    expect((await stat(directory)).isDirectory()).toBe(true);
  });

  it('takes a symlink to a directory', async () => {
    const { directory, outside } = await makeRoot();
    const link = `${directory}-link`;
    await symlink(outside, link);
    expect(await readText(await Root.open(link), 'secret')).toBe('secret');
  });

  it.each([
    ['is a file', (directory: string) => writeFile(directory, ''), ''],
    ['has a file on its way', (directory: string) => writeFile(directory, ''), 'a/b'],
    ['is a dangling symlink', (directory: string) => symlink(`${directory}-gone`, directory), ''],
  ])('fails when it %s', async (_what, prepare, below) => {
    const directory = path.join(await diskDirectory(), 'root');
    await prepare(directory);
    const failure = await Root.open(path.join(directory, below)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(InvalidRootError);
    expect((failure as InvalidRootError).cause).toBeInstanceOf(Error);
  });

  it('says what to do where its user may not write', async () => {
    const directory = path.join(await diskDirectory(), 'root');
    await chmod(path.dirname(directory), 0o555);
    await asOrdinaryUser(async () => {
      const remedy = `chown -R ${process.geteuid?.()} ${directory}`;
      await expect(Root.open(directory)).rejects.toThrow(remedy);
    });
  });
});

describe('reading', () => {
  it('finds files and tells what they are', async () => {
    const { root, at } = await makeRoot();
    await mkdir(at('d'));
    await writeFile(at('d', 'f'), 'hello');
    expect(await readText(root, 'd/f')).toBe('hello');
    expect(await root.stat(resource('d/f'))).toMatchObject({ kind: 'file', size: 5 });
    expect(await root.stat(resource('d'))).toMatchObject({ kind: 'directory' });
    expect(await root.stat(resource('/'))).toMatchObject({ kind: 'directory' });
  });

  it.each(['missing', 'f/below', 'd/missing', 'dangling', 'dangling/below', 'loop', 'loop/below'])(
    'does not find %j',
    async (text) => {
      const { root, at } = await makeRoot();
      await mkdir(at('d'));
      await writeFile(at('f'), '');
      await symlink('nowhere', at('dangling'));
      await symlink('loop', at('loop'));
      await expect(root.openRead(resource(text))).rejects.toThrow(ResourceNotFoundError);
      await expect(root.stat(resource(text))).rejects.toThrow(ResourceNotFoundError);
    },
  );

  it.each([
    ['a file', 'link', (outside: string) => path.join(outside, 'secret')],
    ['a directory', 'link/secret', (outside: string) => outside],
    ['a directory, relatively', 'link/secret', () => '../outside'],
    ['the directory above', 'link/outside/secret', () => '..'],
    ['the system', 'link/passwd', () => '/etc'],
  ])('refuses a symlink out of the root to %s', async (_what, text, target) => {
    const { root, at, outside } = await makeRoot();
    await symlink(target(outside), at('link'));
    await expect(root.openRead(resource(text))).rejects.toThrow(ResourceNotFoundError);
    await expect(root.stat(resource(text))).rejects.toThrow(ResourceNotFoundError);
  });

  it('refuses a directory beside the root whose name begins like it', async () => {
    const { root, at, directory } = await makeRoot();
    await mkdir(`${directory}-2`);
    await writeFile(`${directory}-2/f`, 'secret');
    await symlink(`${directory}-2`, at('link'));
    await expect(root.openRead(resource('link/f'))).rejects.toThrow(ResourceNotFoundError);
  });

  it("refuses a symlink to the server's own files", async () => {
    const { root, at } = await makeRoot();
    await mkdir(at('.httpfstream'));
    await writeFile(at('.httpfstream', 'state'), 'state');
    await symlink('.httpfstream', at('link'));
    await symlink('.httpfstream/state', at('file-link'));
    await expect(root.openRead(resource('link/state'))).rejects.toThrow(ResourceNotFoundError);
    await expect(root.openRead(resource('file-link'))).rejects.toThrow(ResourceNotFoundError);
    await expect(root.openAppend(resource('link/state'), { create: true })).rejects.toThrow(
      ForbiddenPathError,
    );
    await expect(root.openAppend(resource('link/new'), { create: true })).rejects.toThrow(ForbiddenPathError);
  });

  it('follows symlinks inside the root, to the same identity', async () => {
    const { root, at } = await makeRoot();
    await mkdir(at('d'));
    await writeFile(at('d', 'f'), 'hello');
    await symlink('d/f', at('file-link'));
    await symlink(at('d'), at('directory-link'));
    const { identity } = await root.stat(resource('d/f'));
    for (const text of ['file-link', 'directory-link/f']) {
      expect(await readText(root, text)).toBe('hello');
      expect((await root.stat(resource(text))).identity).toBe(identity);
    }
  });

  it('does not wait for a FIFO, and does not find it', async () => {
    const { root, at } = await makeRoot();
    execFileSync('mkfifo', [at('fifo')]);
    await expect(root.openRead(resource('fifo'))).rejects.toThrow(ResourceNotFoundError);
  });

  it('does not find a socket', async () => {
    const { root, at } = await makeRoot();
    await listenOn(at('socket'));
    await expect(root.openRead(resource('socket'))).rejects.toThrow(ResourceNotFoundError);
  });

  it('reports what it may not read as a failure of the storage', async () => {
    const { root, at, directory } = await makeRoot();
    await chmod(path.dirname(directory), 0o755);
    await writeFile(at('f'), '', { mode: 0o000 });
    await expect(asOrdinaryUser(() => root.openRead(resource('f')))).rejects.toThrow(StorageError);
  });
});

describe('opening to append', () => {
  it('makes directories with mode 0755 and files with mode 0644, as the umask leaves them', async () => {
    const { root, at } = await makeRoot();
    await appendText(root, 'a/b/c.log', 'hello');
    const allowed = ~process.umask();
    expect(await modeOf(at('a'))).toBe(0o755 & allowed);
    expect(await modeOf(at('a', 'b'))).toBe(0o755 & allowed);
    expect(await modeOf(at('a', 'b', 'c.log'))).toBe(0o644 & allowed);
  });

  it('leaves the content and the mode of a file that is there', async () => {
    const { root, at } = await makeRoot();
    await writeFile(at('f'), 'hello ', { mode: 0o644 });
    await appendText(root, 'f', 'world');
    expect(await readFile(at('f'), 'utf8')).toBe('hello world');
    expect(await modeOf(at('f'))).toBe(0o644);
  });

  it('ignores a trailing slash', async () => {
    const { root, at } = await makeRoot();
    await appendText(root, 'a/b/', 'hello');
    expect(await readFile(at('a', 'b'), 'utf8')).toBe('hello');
  });

  it('appends to the same file through a symlink inside the root', async () => {
    const { root, at } = await makeRoot();
    await mkdir(at('d'));
    await symlink('d', at('directory-link'));
    const identity = await appendText(root, 'directory-link/f', 'one ');
    await symlink('d/f', at('file-link'));
    expect(await appendText(root, 'file-link', 'two')).toBe(identity);
    expect(await readFile(at('d', 'f'), 'utf8')).toBe('one two');
  });

  it('makes directories below a symlinked one inside the root', async () => {
    const { root, at } = await makeRoot();
    await mkdir(at('d'));
    await symlink('d', at('link'));
    await appendText(root, 'link/x/y', 'hello');
    expect(await readFile(at('d', 'x', 'y'), 'utf8')).toBe('hello');
  });

  it.each([
    ['an existing file', 'link', (outside: string) => path.join(outside, 'secret')],
    ['a missing file', 'link', (outside: string) => path.join(outside, 'new')],
    ['a file in a directory', 'link/secret', (outside: string) => outside],
    ['a new file in a directory', 'link/new', (outside: string) => outside],
    ['a new directory', 'link/x/y', (outside: string) => outside],
    ['a directory that is missing', 'link/x', (outside: string) => path.join(outside, 'missing')],
    ['directories that are missing', 'link/x/y', (outside: string) => path.join(outside, 'missing')],
    ['the directory above', 'link/outside/new', () => '..'],
  ])('refuses a symlink out of the root to %s and writes nothing', async (_what, text, target) => {
    const { root, at, outside } = await makeRoot();
    await symlink(target(outside), at('link'));
    await expect(root.openAppend(resource(text), { create: true })).rejects.toSatisfy(
      (error) => error instanceof ForbiddenPathError || error instanceof PathConflictError,
    );
    expect(await readdir(outside)).toEqual(['secret']);
    expect(await readFile(path.join(outside, 'secret'), 'utf8')).toBe('secret');
  });

  it.each(['dangling', 'loop'])('refuses a %s symlink', async (text) => {
    const { root, at } = await makeRoot();
    await symlink('nowhere', at('dangling'));
    await symlink('loop', at('loop'));
    await expect(root.openAppend(resource(text), { create: true })).rejects.toThrow(ForbiddenPathError);
    expect((await readdir(at())).sort()).toEqual(['dangling', 'loop']);
  });

  it.each([
    ['a directory at the path', 'd'],
    ['the root', '/'],
    ['a file on the way', 'f/below'],
    ['a file far up the way', 'f/x/y/z'],
    ['a symlink to a file on the way', 'link/below'],
    ['a FIFO', 'fifo'],
    ['a FIFO on the way', 'fifo/below'],
    ['a socket', 'socket'],
  ])('conflicts with %s', async (_what, text) => {
    const { root, at } = await makeRoot();
    await mkdir(at('d'));
    await writeFile(at('f'), 'hello');
    await symlink('f', at('link'));
    execFileSync('mkfifo', [at('fifo')]);
    await listenOn(at('socket'));
    await expect(root.openAppend(resource(text), { create: true })).rejects.toThrow(PathConflictError);
    expect(await readFile(at('f'), 'utf8')).toBe('hello');
  });

  it('opens a path of the greatest length, or refuses it as invalid', async () => {
    const { root } = await makeRoot();
    const long = Array.from({ length: 15 }, () => 'x'.repeat(255)).join('/');
    await appendText(root, long, 'hello');
    await expect(appendText(root, `${long}/${'y'.repeat(150)}`, 'hello')).rejects.toSatisfy(
      (error) => error instanceof PathConflictError || error instanceof InvalidPathError,
    );
  });

  it('makes no directories more than 64 names deep, and says so', async () => {
    const { root, at } = await makeRoot();
    const deep = 'd/'.repeat(63);
    await appendText(root, `${deep}f`, 'hello');
    const failure = await appendText(root, `x/${deep}f`, 'hello').catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(InvalidPathError);
    expect((failure as InvalidPathError).message).toContain('64');
    expect(await readdir(at())).toEqual(['d']);
  });

  it('appends to, makes and reads what is deeper, where others have made the directories', async () => {
    const { root, at } = await makeRoot();
    const deep = 'd/'.repeat(200);
    await mkdir(at(deep), { recursive: true });
    await appendText(root, `${deep}f`, 'hello');
    expect(await readText(root, `${deep}f`)).toBe('hello');
    expect(await names(root, deep)).toEqual(['f']);
  });

  it("makes nothing that is the server's own through a symlink to the root", async () => {
    const { root, at } = await makeRoot();
    await symlink('.', at('link'));
    for (const text of ['link/.httpfstream', 'link/.httpfstream/x', 'link/.HttpFstream/x/y']) {
      await expect(appendText(root, text, 'hello')).rejects.toThrow(ForbiddenPathError);
    }
    expect(await readdir(at())).toEqual(['link']);
  });

  it('says that the storage failed when it may not write, with the reason as the cause', async () => {
    const { root, at, directory } = await makeRoot();
    await chmod(path.dirname(directory), 0o755);
    await mkdir(at('locked'), { mode: 0o555 });
    const failure = await asOrdinaryUser(() => root.openAppend(resource('locked/f'), { create: true })).catch(
      (error) => error,
    );
    expect(failure).toBeInstanceOf(StorageError);
    expect(failure.cause).toMatchObject({ code: 'EACCES' });
    expect(failure.message).not.toContain(directory);
  });

  it('makes what is new as the user that it runs as', async () => {
    const { root, directory } = await makeRoot();
    await chmod(path.dirname(directory), 0o755);
    await giveToOrdinaryUser(directory);
    await asOrdinaryUser(() => appendText(root, 'a/f', 'hello'));
    expect(await readText(root, 'a/f')).toBe('hello');
  });

  it('opens no descriptor that it does not give away', async () => {
    const { root, at } = await makeRoot();
    await mkdir(at('d'));
    execFileSync('mkfifo', [at('fifo')]);
    const before = await openDescriptors();
    for (let i = 0; i < 20; i++) {
      for (const text of ['d', 'fifo', 'missing/../d', 'fifo/x']) {
        await root.openAppend(resource(text), { create: true }).catch(() => undefined);
        await root.openRead(resource('fifo')).catch(() => undefined);
        await root.openRead(resource('missing')).catch(() => undefined);
      }
    }
    await descriptorsBackTo(before);
  });
});

describe('removing', () => {
  it('takes the name of the file that is meant, and of no other one', async () => {
    const { root, at } = await makeRoot();
    await mkdir(at('d'));
    await writeFile(at('d', 'f'), 'meant');
    await writeFile(at('new'), 'new');
    const { fingerprint } = await root.stat(resource('d/f'));
    const descriptors = await openDescriptors();
    expect(root.remove(resource('d/f'), (await root.stat(resource('new'))).fingerprint)).toBe(false);
    expect(await readText(root, 'd/f')).toBe('meant');
    expect(root.remove(resource('d/f'), fingerprint)).toBe(true);
    expect(() => root.remove(resource('d/f'), fingerprint)).toThrow(ResourceNotFoundError);
    await rename(at('new'), at('d', 'f'));
    expect(root.remove(resource('d/f'), fingerprint)).toBe(false);
    expect(await readText(root, 'd/f')).toBe('new');
    await descriptorsBackTo(descriptors);
  });

  it('takes no symlink for the file that it leads to', async () => {
    const { root, at, outside } = await makeRoot();
    await mkdir(at('d'));
    await writeFile(at('d', 'f'), 'meant');
    await symlink('d/f', at('link'));
    await symlink('d', at('directory'));
    await symlink(path.join(outside, 'secret'), at('out'));
    const { fingerprint } = await root.stat(resource('d/f'));
    for (const name of ['link', 'directory/f']) {
      expect(() => root.remove(resource(name), fingerprint)).toThrow(PathConflictError);
    }
    for (const name of ['out', 'missing', 'd/f/below']) {
      expect(() => root.remove(resource(name), fingerprint)).toThrow(ResourceNotFoundError);
    }
    expect(root.remove(resource('d'), fingerprint)).toBe(false);
    expect(() => root.remove(resource('/'), fingerprint)).toThrow(PathConflictError);
    expect(await readText(root, 'd/f')).toBe('meant');
  });
});

describe('listing', () => {
  it('tells names, sizes and kinds', async () => {
    const { root, at } = await makeRoot();
    await mkdir(at('d'));
    await writeFile(at('f'), 'hello');
    const entries = [];
    for await (const { name, kind, size } of root.list(resource('/'))) {
      entries.push(kind === 'file' ? { name, size } : { name });
    }
    expect(entries.sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
      { name: 'd' },
      { name: 'f', size: 5 },
    ]);
  });

  it('leaves out what is reserved, what leads out, what leads nowhere and what is no file', async () => {
    const { root, at, outside } = await makeRoot();
    await mkdir(at('.httpfstream'));
    await mkdir(at('d', '.httpfstream'), { recursive: true });
    await writeFile(at('f'), '');
    await symlink(outside, at('to-directory-outside'));
    await symlink(path.join(outside, 'secret'), at('to-file-outside'));
    await symlink('.httpfstream', at('to-reserved'));
    await symlink('nowhere', at('dangling'));
    await symlink('loop', at('loop'));
    await symlink('f', at('inside'));
    execFileSync('mkfifo', [at('fifo')]);
    expect(await names(root, '/')).toEqual(['d', 'f', 'inside']);
    expect(await names(root, 'd')).toEqual(['.httpfstream']);
  });

  it('leaves out names that a URL cannot carry', async () => {
    const { root, at } = await makeRoot();
    await writeFile(at('good'), '');
    await writeFile(at('line\nbreak'), '');
    await writeFile(at('delete\u007f'), '');
    await writeFile(Buffer.concat([Buffer.from(`${at()}/`), Buffer.of(0x66, 0xff)]), '');
    expect(await names(root, '/')).toEqual(['good']);
  });

  it('leaves out what it may not look into, and lists the rest', async () => {
    const { root, at, directory, outside } = await makeRoot();
    await chmod(path.dirname(directory), 0o755);
    await chmod(outside, 0o000);
    await mkdir(at('locked'), { mode: 0o000 });
    await writeFile(at('f'), '', { mode: 0o000 });
    await symlink('locked/below', at('link'));
    await symlink(path.join(outside, 'secret'), at('link-out'));
    expect(await asOrdinaryUser(() => names(root, '/'))).toEqual(['f', 'locked']);
  });

  it('refuses directories that are missing or outside, and files', async () => {
    const { root, at, outside } = await makeRoot();
    await symlink(outside, at('link'));
    await writeFile(at('f'), '');
    for (const text of ['missing', 'link', 'f']) {
      await expect(names(root, text)).rejects.toThrow(ResourceNotFoundError);
    }
  });
});

async function listenOn(socketPath: string): Promise<void> {
  const server = net.createServer().listen(socketPath);
  onTestFinished(() => void server.close());
  await once(server, 'listening');
}

it.each([
  ['EMFILE', 'HFS_STORAGE_BUSY'],
  ['EIO', 'HFS_STORAGE_ERROR'],
])('%s of a look at a name in a directory is told as %s', async (code, expected) => {
  const { root, at } = await makeRoot();
  await writeFile(at('a'), '');
  const { hold } = RootDirectory.prototype;
  const holding = vi.spyOn(RootDirectory.prototype, 'hold');
  onTestFinished(() => holding.mockRestore());
  holding.mockImplementation(function failing(this: RootDirectory, name, ...rest) {
    if (path.basename(name) === 'a') throw systemError(code);
    return hold.call(this, name, ...rest);
  });
  await expect(root.list(resource('/')).next()).rejects.toMatchObject({ code: expected });
});

it('directories that lead to a file go when nothing is in them, and no file is being made', async () => {
  const directory = await diskDirectory();
  const root = await Root.open(directory);
  const made = (text: string) => root.openAppend(ResourcePath.parse(text), { create: true });
  const files = [await made('/a/b/c'), await made('/a/d')];
  for (const file of files) await file.close();
  await unlink(path.join(directory, 'a/b/c'));
  const another = made('/a/b/e/f');
  root.pruneWayTo(ResourcePath.parse('/a/b/c'));
  await (await another).close();
  expect(await readdir(path.join(directory, 'a/b'))).toEqual(['e']);
  root.pruneWayTo(ResourcePath.parse('/a/b/c'));
  expect(await readdir(path.join(directory, 'a'))).toEqual(['b', 'd']);
  await unlink(path.join(directory, 'a/b/e/f'));
  root.pruneWayTo(ResourcePath.parse('/a/b/e/f'));
  expect(await readdir(path.join(directory, 'a'))).toEqual(['d']);
});

it('so many of them stay, from the root on, as are not of what was there', async () => {
  const directory = await diskDirectory();
  const root = await Root.open(directory);
  await mkdir(path.join(directory, 'a/b/c/d'), { recursive: true });
  root.pruneWayTo(ResourcePath.parse('/a/b/c/d/f'), 2);
  expect(await readdir(path.join(directory, 'a/b'))).toEqual([]);
});

it('a directory goes when nothing but directories like that is in it, and no file is being made', async () => {
  const directory = await diskDirectory();
  const root = await Root.open(directory);
  const a = ResourcePath.parse('/a');
  await mkdir(path.join(directory, 'a/b/c'), { recursive: true });
  await mkdir(path.join(directory, 'other'));
  await symlink(path.join(directory, 'other'), path.join(directory, 'a/link'));
  expect(await root.removeEmpty(a)).toBe(false);
  await unlink(path.join(directory, 'a/link'));
  const { open } = FileMaker.prototype;
  const gate = new EventEmitter();
  const opening = vi.spyOn(FileMaker.prototype, 'open').mockImplementationOnce(async (...args) => {
    await once(gate, 'open');
    return open.apply(new FileMaker(), args);
  });
  onTestFinished(() => opening.mockRestore());
  const making = root.openAppend(ResourcePath.parse('/new/f'), { create: true });
  expect(await root.removeEmpty(a)).toBe(false);
  await vi.waitFor(() => expect(opening).toHaveBeenCalled());
  gate.emit('open');
  await (await making).close();
  expect([await root.removeEmpty(ResourcePath.parse('/new')), await root.removeEmpty(a)]).toEqual([
    false,
    true,
  ]);
  expect(await readdir(directory)).toEqual(expect.not.arrayContaining(['a']));
  expect(await readdir(directory)).toContain('other');
});

it('of a directory nothing goes when a file is anywhere in it, or when there are too many in it', async () => {
  const directory = await diskDirectory();
  const root = await Root.open(directory);
  const names = Array.from({ length: 30 }, (_, i) => `a/${i}/b`);
  await Promise.all(names.map((name) => mkdir(path.join(directory, name), { recursive: true })));
  // Whichever is read last.
  for (const name of names) {
    await writeFile(path.join(directory, name, 'f'), '');
    expect(await root.removeEmpty(ResourcePath.parse('/a'))).toBe(false);
    await unlink(path.join(directory, name, 'f'));
  }
  const all = await readdir(path.join(directory, 'a'), { recursive: true });
  expect(all).toHaveLength(2 * names.length);
  const more = Array.from({ length: 40 }, (_, i) => path.join(directory, `a/more-${i}`));
  await Promise.all(more.map((name) => mkdir(name)));
  expect(await root.removeEmpty(ResourcePath.parse('/a'))).toBe(false);
  expect(await readdir(path.join(directory, 'a'), { recursive: true })).toHaveLength(100);
});
