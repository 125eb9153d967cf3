import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

/**
 * Bundles a module as an application for browsers has it, minified and compressed: all of it, and a few of its names
 * if there are some that most programs do with.
 */
export async function bundle(entry, names) {
  const file = JSON.stringify(fileURLToPath(entry));
  return {
    kibibytes: (await gzipped(`import * as all from ${file}; globalThis.all = all;`)) / 1024,
    ...(names && { fewKibibytes: (await gzipped(`export { ${names.join(', ')} } from ${file}`)) / 1024 }),
  };
}

async function gzipped(source) {
  const { rolldown } = await import('rolldown');
  const name = 'application.js';
  const application = {
    name: 'application',
    resolveId: (id) => (id === name ? name : undefined),
    load: (id) => (id === name ? source : undefined),
  };
  const bundle = await rolldown({ input: name, platform: 'browser', plugins: [application] });
  try {
    const { output } = await bundle.generate({ format: 'esm', minify: true });
    return gzipSync(output[0].code, { level: 9 }).length;
  } finally {
    await bundle.close();
  }
}
