/** The page of a film. */
import { MediaPage } from '../kinds/media/media-page.ts';
import { pageData } from '../page-data.ts';

new MediaPage('video', pageData().path).start();
