/** A form has more bytes than the file in it. */
const MAX_FORM_BYTES = 1000;

/** Passes bytes from a server to another one, and looks whether all have come. */
export async function relay({ relay }, { urls: [from, to], bytes }, usage) {
  const pass = async (bytes) => {
    const extra = (await relay(`${from}/${bytes}`, `${to}/`)) - bytes;
    if (!(extra >= 0 && extra < MAX_FORM_BYTES)) throw new Error(`${extra} bytes too many have come`);
  };
  // An eighth gets the code of all three compiled.
  await pass(Math.ceil(bytes / 8));
  return usage(() => pass(bytes));
}

/** Gets bytes, and forgets them. */
export async function download({ download }, { urls: [url], bytes }, usage) {
  const pass = async (bytes) => {
    const received = await download(`${url}/${bytes}`);
    if (received !== bytes) throw new Error(`${received} of ${bytes} bytes have come`);
  };
  await pass(Math.ceil(bytes / 8));
  return usage(() => pass(bytes));
}

/** Gets a few bytes again and again, so many times at once. */
export async function small({ small }, { urls: [url], requests, concurrency }, usage) {
  const get = small(`${url}/small`);
  const pass = async (requests) => {
    let left = requests;
    const loop = async () => {
      while (left-- > 0) if ((await get()).length !== 17) throw new Error('something else has come');
    };
    await Promise.all(Array.from({ length: concurrency }, loop));
  };
  await pass(Math.ceil(requests / 8));
  const { cpuSeconds, ...rest } = await usage(() => pass(requests));
  return { ...rest, cpuPerRequest: (cpuSeconds * 1e6) / requests };
}
