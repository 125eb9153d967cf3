/** For `node --import`: a process in which the package named by WITHOUT_PACKAGE is not installed. */
import * as nodeModule from 'node:module';

const name = process.env.WITHOUT_PACKAGE;

function resolve(specifier, context, next) {
  if (specifier !== name) return next(specifier, context);
  throw Object.assign(new Error(`Cannot find package ${specifier}`), { code: 'ERR_MODULE_NOT_FOUND' });
}

// What Node 20 has in its place runs in a thread of its own, and is deprecated: newer versions warn on stderr.
if (nodeModule.registerHooks !== undefined) nodeModule.registerHooks({ resolve });
else {
  const hooks = `const name = ${JSON.stringify(name)};\nexport ${resolve}`;
  nodeModule.register(`data:text/javascript,${encodeURIComponent(hooks)}`);
}
