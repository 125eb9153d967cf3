/** The page of a sound. */
import { MediaPage } from '../kinds/media/media-page.ts';
import { pageData } from '../page-data.ts';

new MediaPage('audio', pageData().path).start();
