// What a user of the client library does, on any runtime: runtime-client.mjs CLIENT URL CUT
// CLIENT is the module of the library, URL a directory of a server, and who asks for CUT
// loses his connections to that. Prints how it went, as JSON.

const [client, directory, cut] = process.argv.slice(2);
const { append, follow, openAppend } = await import(client);
const at = (name) => directory + name;

/** How it went, or the code of what went wrong. */
async function outcomeOf(promise) {
  try {
    return await promise;
  } catch (error) {
    return error.code ?? error.message;
  }
}

async function textOf(readable) {
  const chunks = [];
  for await (const chunk of readable) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** Appends and follows at the same time, with megabytes and over a connection that the server has cut. */
async function live() {
  const writable = openAppend(at('live'), { retry: { minDelayMs: 1 } });
  await new Promise((resolve) => writable.once('open', resolve));
  const readable = follow(at('live'), { retry: { minDelayMs: 1 } });
  await new Promise((resolve) => readable.once('open', resolve));
  const followed = textOf(readable);
  const block = 'x'.repeat(100_000);
  for (let i = 0; i < 30; i++) {
    if (i === 10) await fetch(cut);
    if (!writable.write(block)) await new Promise((resolve) => writable.once('drain', resolve));
  }
  const { bytes } = await writable.close();
  return { bytes, isWhole: (await followed) === block.repeat(30) };
}

async function aborted() {
  const controller = new AbortController();
  const readable = follow(at('whole'), { wait: 60, signal: controller.signal });
  controller.abort(new Error('enough'));
  return outcomeOf(textOf(readable));
}

console.log(
  JSON.stringify({
    whole: [
      (await append(at('whole'), 'a string, ')).bytes,
      (await append(at('whole'), new Blob(['a blob, ']))).bytes,
      (await append(at('whole'), new Response('a web stream, ').body)).bytes,
      (await append(at('whole'), ['an ', 'array'])).position,
    ],
    text: await textOf(follow(at('whole'))),
    end: await textOf(follow(at('whole'), { from: -5 })),
    live: await live(),
    missing: await outcomeOf(textOf(follow(at('missing')))),
    reserved: await outcomeOf(append(at('.httpfstream/a'), 'x')),
    closed: await outcomeOf(append(at('closed'), 'x')),
    wrong: await outcomeOf(append(at('whole'), 7)),
    unreachable: await outcomeOf(append('http://127.0.0.1:1/a', 'x')),
    aborted: await aborted(),
  }),
);
