/** ky, with its defaults. */
export async function open(entry) {
  const { default: ky } = await import(entry);
  return {
    small(url) {
      return () => ky(url).text();
    },
  };
}
