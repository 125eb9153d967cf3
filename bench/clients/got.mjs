/** got, with its defaults. */
export async function open(entry) {
  const { got } = await import(entry);
  return {
    small(url) {
      return () => got(url).text();
    },
  };
}
