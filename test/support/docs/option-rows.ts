import { Command } from 'commander';
import { addServerOptions } from '../../../src/cli/server/server-options.ts';

/** The options of the server as docs/options.md has them: a row each, with variable and default as they are in the code. */
export function optionRows(): string[] {
  return addServerOptions(new Command()).options.map((option) => {
    const { envVar, defaultValue, defaultValueDescription, description, argChoices } = option;
    const flags = option.flags.replace(/^--/, '-');
    const choices = argChoices === undefined ? '' : ` (${argChoices.join(', ')})`;
    const byDefault = defaultValueDescription ?? String(defaultValue ?? 'none');
    return `| \`${flags}\` | ${envVar === undefined ? '' : `\`${envVar}\``} | ${byDefault} | ${description}${choices} |`;
  });
}
