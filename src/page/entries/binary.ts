/** The page of bytes that are no text. */
import { HexPage } from '../kinds/hex/hex-page.ts';
import { pageData } from '../page-data.ts';

new HexPage(pageData().path).start();
