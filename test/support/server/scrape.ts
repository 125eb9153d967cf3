import { get } from '../http/request.ts';
import type { UrlSource } from './server.ts';

/** What a server has told of its numbers. */
export interface Scraped {
  text: string;
  /** The types of the metrics, by name. */
  types: Map<string, string>;
  /** The value of what stands there like this: a name, with its labels in braces. */
  value(sample: string): number | undefined;
}

/** Reads the metrics of a server. */
export async function scrape(admin: UrlSource): Promise<Scraped> {
  const { status, text } = await get(admin.url('/-/metrics'));
  if (status !== 200) throw new Error(`the metrics were answered with ${status}`);
  const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name!, type!]));
  const samples = new Map([...text.matchAll(/^([^#\s].*) (\S+)$/gm)].map(([, of, value]) => [of, value]));
  const value = (sample: string) => {
    const found = samples.get(sample);
    return found === undefined ? undefined : Number(found);
  };
  return { text, types, value };
}
