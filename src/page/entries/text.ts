/** The page of a text. */
import { pageData } from '../page-data.ts';
import { LogGroups } from '../view/log-groups.ts';
import { LogPage } from '../view/log-page.ts';

new LogPage(pageData(), { rows: (file, found) => new LogGroups(file, found) }).start();
