import { openAsBlob } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { Busboy } from '@fastify/busboy';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Body, client, type Fetch, type MultipartRequest, text } from '../../../src/http/index.node.ts';
import { rejection } from '../../client/client-server.ts';
import { cutAt } from '../../support/http/answers.ts';
import { FETCHES, platformFetch } from '../../support/http/fetches.ts';
import { serve } from '../../support/http/servers.ts';
import { pattern } from '../../support/pattern.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

interface Part {
  name: string;
  filename?: string;
  type?: string;
  bytes: Buffer;
}

/** What a parser reads of a form. */
async function partsOf(body: Buffer | ReadableStream<Uint8Array>, type: string): Promise<Part[]> {
  const parser = new Busboy({
    headers: { 'content-type': type },
    limits: { fieldNameSize: 10_000, fieldSize: 1e9, headerSize: 1e6 },
  });
  const parts: Promise<Part>[] = [];
  parser.on('field', (name, value) => parts.push(Promise.resolve({ name, bytes: Buffer.from(value) })));
  parser.on('file', (name, stream, filename, _encoding, mime) =>
    parts.push(buffer(stream).then((bytes) => ({ name, filename, type: mime, bytes }))),
  );
  await new Promise((resolve, reject) => {
    parser.on('finish', resolve).on('error', reject);
    Readable.from(body).pipe(parser);
  });
  return Promise.all(parts);
}

/** What a form sends: its body, and how it is declared. */
async function sentBy(fill: (request: MultipartRequest) => unknown) {
  let sent: { type: string; length: string | null; body: Buffer } | undefined;
  const spy: Fetch = async (_url, { headers, body }) => {
    const bytes = Buffer.from(await new Response(body as NonNullable<RequestInit['body']>).arrayBuffer());
    sent = { type: headers.get('content-type') ?? '', length: headers.get('content-length'), body: bytes };
    return new Response('ok');
  };
  const request = client('http://a', { fetch: spy }).multipart('/');
  fill(request);
  await request.send();
  return sent as NonNullable<typeof sent>;
}

/** As browsers do. */
const escaped = (name: string) => name.replaceAll('\r', '%0D').replaceAll('\n', '%0A').replaceAll('"', '%22');
const normalized = (name: string) => name.replace(/\r\n|\r|\n/g, '\r\n');

/** Bytes are made of these, so that what is printed of them stays short. */
const content = fc.record({
  length: fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 65_000, max: 200_000 })),
  first: fc.nat(255),
});
const bytesOf = ({ length, first }: { length: number; first: number }) =>
  new Uint8Array(pattern(first, length));

/** The same bytes in each way in which they can be given. */
const WAYS: Record<string, (bytes: Uint8Array, cuts: number[]) => Body> = {
  bytes: (bytes) => bytes,
  'a view with an offset': (bytes) =>
    Buffer.concat([Buffer.of(1, 2, 3), bytes, Buffer.of(4)]).subarray(3, 3 + bytes.length),
  'a Blob': (bytes) => new Blob([new Uint8Array(bytes)]),
  'a web stream': (bytes, cuts) => ReadableStream.from(cutAt(bytes, cuts)) as ReadableStream<Uint8Array>,
  'a Readable': (bytes, cuts) => Readable.from(cutAt(Buffer.from(bytes), cuts)),
  'a function': (bytes, cuts) =>
    async function* () {
      yield* cutAt(bytes, cuts);
    },
  'an answer': (bytes) =>
    new Response(new Uint8Array(bytes), { headers: { 'content-length': String(bytes.length) } }),
};

const name = fc.string({
  unit: fc.constantFrom('a', 'ä', '😀', '"', ' ', '\r', '\n', '/', ';', '%', "'", '='),
  minLength: 1,
  maxLength: 20,
});

const part = fc.oneof(
  fc.record({
    kind: fc.constant('field' as const),
    name,
    value: fc.string({ unit: fc.constantFrom('a', 'é', '€', '😀', '👩‍👧', ' ', '-', '=') }),
  }),
  fc.record({
    kind: fc.constant('file' as const),
    name,
    filename: name,
    content,
    way: fc.constantFrom(...Object.keys(WAYS)),
    cuts: fc.array(fc.nat(), { maxLength: 5 }),
    hasSize: fc.boolean(),
  }),
);

describe('a form', () => {
  test('is read by a parser as it was given, whatever is in it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 6 }), async (parts) => {
        const { type, body } = await sentBy((request) => {
          for (const each of parts) {
            if (each.kind === 'field') request.field(each.name, each.value);
            else {
              const source = WAYS[each.way]?.(bytesOf(each.content), each.cuts) as Body;
              request.file(
                each.name,
                each.filename,
                source,
                each.hasSize ? { size: each.content.length } : {},
              );
            }
          }
        });
        const read = await partsOf(body, type);
        expect(read.map((each) => ({ ...each, bytes: each.bytes.toString('latin1') }))).toEqual(
          parts.map((each) => {
            const given = escaped(normalized(each.name));
            if (each.kind === 'field')
              return { name: given, bytes: Buffer.from(each.value).toString('latin1') };
            const filename = escaped(each.filename).split('/').at(-1);
            return {
              name: given,
              filename,
              type: 'application/octet-stream',
              bytes: Buffer.from(bytesOf(each.content)).toString('latin1'),
            };
          }),
        );
      }),
      { numRuns: process.env.HTTPFSTREAM_SOAK ? 2000 : 40 },
    );
  });

  test('is laid out as browsers do', async () => {
    const fill = (form: MultipartRequest) =>
      form.field('a', 'ä').field('n', 7).file('f', 'x.txt', 'text', { contentType: 'text/plain' });
    const { type, body } = await sentBy(fill);
    const [, boundary] = /^multipart\/form-data; boundary=(-{4}httpfstream-\d+)$/.exec(type) ?? [];
    expect(body.toString()).toBe(
      [
        `--${boundary}`,
        'Content-Disposition: form-data; name="a"',
        '',
        'ä',
        `--${boundary}`,
        'Content-Disposition: form-data; name="n"',
        '',
        '7',
        `--${boundary}`,
        'Content-Disposition: form-data; name="f"; filename="x.txt"',
        'Content-Type: text/plain',
        '',
        'text',
        `--${boundary}--`,
        '',
      ].join('\r\n'),
    );
    expect((await sentBy(fill)).type).not.toBe(type);
    expect(() => client('http://a').multipart('/').file('a', 'b', 'c', { contentType: 'a\r\nb: c' })).toThrow(
      TypeError,
    );
    for (const size of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() =>
        client('http://a')
          .multipart('/')
          .file('a', 'b', Readable.from(['c']), { size }),
      ).toThrow(RangeError);
  });

  test('has the type of a file, unless it is given', async () => {
    const { type, body } = await sentBy((form) => {
      form.file('a', 'a', new Blob(['x'], { type: 'image/x' }));
      form.file('b', 'b', new Response('x', { headers: { 'content-type': 'text/y' } }));
      form.file('c', 'c', new Blob(['x'], { type: 'image/x' }), { contentType: 'image/z' });
    });
    expect((await partsOf(body, type)).map((each) => each.type)).toEqual(['image/x', 'text/y', 'image/z']);
  });

  test('is one Blob when all is there, so that every browser can send it', async () => {
    const file = path.join(await temporaryDirectory(), 'file');
    await writeFile(file, 'of a file');
    let given: unknown;
    const spy: Fetch = async (_url, { body }) => {
      given = body;
      return new Response('ok');
    };
    const form = client('http://a', { fetch: spy })
      .multipart('/')
      .field('a', 'b')
      .file('c', 'd', await openAsBlob(file));
    await form.file('e', 'f', new Uint8Array(3)).send();
    expect(given).toBeInstanceOf(Blob);
    expect(await (given as Blob).text()).toContain('of a file');
  });
});

describe.each(FETCHES)('over %s', (_name, fetch) => {
  /** Tells of a form how long it was declared to be, and how long it was. */
  const start = () =>
    serve(async (request, response) => {
      const body = await buffer(request);
      response.end(`${request.headers['content-length']} ${body.length}`);
    });

  test('a form declares its length when it can be known', async () => {
    const url = await start();
    const known = client(url, { fetch })
      .multipart('/')
      .field('a', 'ä')
      .file('b', 'b', Readable.from(['abc']), { size: 3 });
    expect(await text(await known.file('c', 'c', 'whole').send())).toMatch(/^(\d+) \1$/);
    const unknown = client(url, { fetch })
      .multipart('/')
      .file('b', 'b', Readable.from(['abc']));
    expect(await text(await unknown.send())).toMatch(/^undefined \d+$/);
  });

  test.each([
    ['shorter', 4],
    ['longer', 2],
    ['not empty', 0],
  ])('a file that is %s than it should be breaks the request', async (_how, size) => {
    let ends = 0;
    const url = await serve((request) => {
      request.on('end', () => ends++);
      request.resume();
    });
    const form = client(url, { fetch }).multipart('/');
    const later = Readable.from(['never']);
    form.file('b', 'b', Readable.from(['abc']), { size }).file('c', 'c', later);
    expect(await rejection(form.send())).toMatchObject({
      code: 'HFS_BODY_LENGTH',
      message: expect.stringContaining('part b'),
    });
    expect(later.destroyed).toBe(true);
    expect(ends).toBe(0);
  });

  test('a file that somebody else reads is refused, and the others are ended', async () => {
    const read = new Blob(['a']).stream() as ReadableStream<Uint8Array>;
    read.getReader();
    const others = [Readable.from(['a']), Readable.from(['b'])] as const;
    const form = client(await start(), { fetch })
      .multipart('/')
      .file('a', 'a', others[0])
      .file('b', 'b', read);
    expect(await rejection(form.file('c', 'c', others[1]).send())).toMatchObject({
      code: 'HFS_INVALID_SOURCE',
    });
    expect(others.map(({ destroyed }) => destroyed)).toEqual([true, true]);
  });

  test('a file that fails breaks the request, and ends the others', async () => {
    const url = await start();
    const failing = async function* () {
      yield 'a';
      throw new Error('cannot be read');
    };
    let cancelled = 0;
    const waiting = () => new ReadableStream<Uint8Array>({ cancel: () => void cancelled++ });
    const form = client(url, { fetch })
      .multipart('/')
      .file('b', 'b', failing)
      .file('c', 'c', waiting())
      .file('d', 'd', waiting());
    expect(await rejection(form.send())).toMatchObject({ message: 'cannot be read' });
    await waitFor(() => cancelled === 2, 'the others to be ended');
  });
});

test('a form over a fetch is what the same form of the platform is', async () => {
  const bodies: string[] = [];
  const url = await serve(async (request, response) => {
    const boundary = /boundary=(.*)/.exec(request.headers['content-type'] ?? '')?.[1] ?? '';
    bodies.push((await buffer(request)).toString('latin1').replaceAll(boundary, 'BOUNDARY'));
    response.end();
  });
  const form = new FormData();
  const request = client(url).multipart('/');
  for (const each of ['a"b', 'a\nb', 'ä 😀', 'a\\b;c']) {
    form.append(each, 'value');
    form.append(each, new Blob(['file']), each);
    request.field(each, 'value').file(each, each, new Blob(['file']));
  }
  await platformFetch(new URL(url), { method: 'POST', headers: new Headers(), body: form });
  await request.send();
  expect(bodies[1]).toBe(bodies[0]?.trimEnd().concat('\r\n'));
});
