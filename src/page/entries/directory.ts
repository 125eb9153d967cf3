/** The page of a directory. */
import { DirectoryPage } from '../directory/directory-page.ts';
import { pageData } from '../page-data.ts';

await new DirectoryPage(pageData().path).load();
