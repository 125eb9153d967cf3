/** The page of a directory. */
import { DirectoryPage } from '../directory/directory-page.ts';
import { pageData } from '../page-data.ts';

new DirectoryPage(pageData().path).start();
