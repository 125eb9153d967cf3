import type { Command, Option } from 'commander';
import { textWithoutCredentials } from '../../client/session/target-url.ts';
import { configurable } from './config-file.ts';

/** Notes what is said of options, as it is said, while a command parses its arguments. */
export class SaidOptions {
  readonly #said = new Map<string, unknown[]>();

  /** To be made before the command parses. */
  constructor(command: Command) {
    for (const option of command.options) {
      const name = option.name();
      const note = (text: string | null) => {
        this.#said.set(name, [...(this.#said.get(name) ?? []), text ?? option.presetArg]);
      };
      command.on(`option:${name}`, note);
      command.on(`optionEnv:${name}`, note);
    }
  }

  /**
   * The options that are in force, a line each: name, value, and whence it comes.
   *
   * @param taken from the configuration file
   */
  table(command: Command, file: string, taken: ReadonlyMap<string, unknown>): string {
    const rows = configurable(command).map((option): [string, string, string] => {
      const name = option.name();
      switch (command.getOptionValueSource(option.attributeName())) {
        case 'cli':
          return [name, shown(this.#said.get(name)), `-${name}`];
        case 'env':
          return [name, shown(this.#said.get(name)), option.envVar ?? ''];
        case 'config':
          return [name, shown(taken.get(name)), file];
        default:
          return [name, byDefault(option), 'default'];
      }
    });
    const width = (column: 0 | 1) => Math.max(...rows.map((row) => row[column].length));
    const [names, values] = [width(0), width(1)];
    return rows
      .map(([name, value, whence]) => `${name.padEnd(names)}  ${value.padEnd(values)}  ${whence}\n`)
      .join('');
  }
}

/** What somebody has said, without the passwords in its URLs. */
function shown(value: unknown): string {
  return textWithoutCredentials(Array.isArray(value) ? value.join(', ') : String(value));
}

function byDefault({ defaultValue, defaultValueDescription }: Option): string {
  return defaultValueDescription ?? (defaultValue === undefined ? 'none' : shown(defaultValue));
}
