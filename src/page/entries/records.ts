/** The page of a file whose lines are JSON. */
import { RecordsPage } from '../kinds/records/records-page.ts';
import { pageData } from '../page-data.ts';

new RecordsPage(pageData()).start();
