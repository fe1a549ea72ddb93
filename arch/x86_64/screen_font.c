/*
 * The framebuffer's font: printable ASCII, from a header that scripts/psf-to-header makes. Must not
 * know what draws it.
 */
#include "screen_priv.h"

#include <font.h>

_Static_assert(FONT_WIDTH == SCREEN_GLYPH_WIDTH && FONT_HEIGHT == SCREEN_GLYPH_HEIGHT,
	       "the framebuffer draws 8x16 glyphs");
_Static_assert(FONT_FIRST == ' ' && FONT_LAST == '~', "printable ASCII");
_Static_assert(sizeof(font_glyph) == (FONT_LAST - FONT_FIRST + 1) * FONT_HEIGHT,
	       "one byte for each line of each glyph");

const uint8_t *screen_font_glyph(uint8_t c)
{
	return font_glyph[(c >= FONT_FIRST && c <= FONT_LAST ? c : '?') - FONT_FIRST];
}
