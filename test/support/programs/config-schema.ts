import { Command, type Option } from 'commander';
import { configurable } from '../../../src/cli/server/config-file.ts';
import { addServerOptions } from '../../../src/cli/server/server-options.ts';

const TEXT = { type: 'string' };

/** The JSON schema of configuration files, as the options are. */
export function configSchema(): unknown {
  const options = configurable(addServerOptions(new Command()));
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Configuration of httpfstream-server (-config)',
    type: 'object',
    additionalProperties: false,
    properties: {
      $schema: TEXT,
      ...Object.fromEntries(
        options.map((option) => [option.name(), { description: option.description, ...typeOf(option) }]),
      ),
    },
  };
}

const NUMBER = /<(?:BYTES|COUNT|SECONDS)>/;

function typeOf({ argChoices, defaultValue, flags }: Option): object {
  if (argChoices !== undefined) return { enum: argChoices };
  if (Array.isArray(defaultValue)) return { oneOf: [TEXT, { type: 'array', items: TEXT }] };
  if (typeof defaultValue === 'boolean') return { type: 'boolean' };
  return NUMBER.test(flags) ? { type: ['number', 'string'] } : TEXT;
}
