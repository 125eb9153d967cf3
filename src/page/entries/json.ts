/** The page of one JSON document. */
import { JsonPage } from '../kinds/json/json-page.ts';
import { pageData } from '../page-data.ts';

new JsonPage(pageData()).start();
