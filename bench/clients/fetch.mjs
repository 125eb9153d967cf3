/** The `fetch` that Node has. */
export async function open() {
  return {
    async relay(from, to) {
      const { body } = await fetch(from);
      return Number(await (await fetch(to, { method: 'PUT', body, duplex: 'half' })).text());
    },
    async download(url) {
      let bytes = 0;
      for await (const chunk of (await fetch(url)).body) bytes += chunk.length;
      return bytes;
    },
    small(url) {
      return async () => (await fetch(url)).text();
    },
  };
}
