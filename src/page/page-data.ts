import { PAGE_DATA_ID, type PageData } from '../wire/page.ts';

/** What the document that was loaded is about. */
export function pageData(): PageData {
  return JSON.parse(document.getElementById(PAGE_DATA_ID)?.textContent ?? '');
}
