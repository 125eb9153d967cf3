/** The page of a text: it shows what is there. */
import { pageData } from '../page-data.ts';

const { path } = pageData();
const text = document.createElement('pre');
text.setAttribute('aria-label', path);
document.body.append(text);
const answer = await fetch('?raw');
text.textContent = answer.ok ? await answer.text() : `${answer.status} ${answer.statusText}`;
