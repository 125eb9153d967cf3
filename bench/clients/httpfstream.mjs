/** `httpfstream/http`, ours or a baseline's. */
export async function open(entry) {
  const { client, ok, text } = await import(entry);
  return {
    async relay(from, to) {
      const { origin, pathname } = new URL(from);
      const source = await ok(await client(origin).get(pathname).send());
      const answer = await client(to).multipart('').file('file', 'file', source).send();
      return Number(await text(await ok(answer)));
    },
    async download(url) {
      let bytes = 0;
      for await (const chunk of (await ok(await client(url).get('').send())).body) bytes += chunk.length;
      return bytes;
    },
    small(url) {
      const own = client(url);
      return async () => text(await ok(await own.get('').send()));
    },
  };
}
