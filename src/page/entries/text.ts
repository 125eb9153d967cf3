/** The page of a text. */
import { pageData } from '../page-data.ts';
import { LogPage } from '../view/log-page.ts';

new LogPage(pageData()).start();
