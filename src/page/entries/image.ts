/** The page of a picture. */
import { MediaPage } from '../kinds/media/media-page.ts';
import { pageData } from '../page-data.ts';

new MediaPage('image', pageData().path).start();
