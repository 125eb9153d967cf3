/** For `node --import`: a process in which the package named by WITHOUT_PACKAGE is not installed. */
import { register } from 'node:module';

const name = JSON.stringify(process.env.WITHOUT_PACKAGE);
const hooks = `export async function resolve(specifier, context, next) {
  if (specifier !== ${name}) return next(specifier, context);
  throw Object.assign(new Error('Cannot find package ' + specifier), { code: 'ERR_MODULE_NOT_FOUND' });
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
