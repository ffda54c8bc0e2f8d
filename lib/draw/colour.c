#include "draw/draw.h"

/* Chosen by eye to differ in hue and lightness, the most distinct ones first. */
static const struct frcnn_colour table[] = {
    {230, 57, 53},  {30, 136, 229},  {67, 190, 72},   {255, 179, 0},  {156, 60, 190},  {0, 200, 212},
    {255, 112, 40}, {240, 98, 170},  {150, 205, 40},  {70, 80, 200},  {0, 150, 136},   {255, 238, 70},
    {160, 95, 60},  {120, 170, 255}, {190, 30, 90},   {20, 120, 50},  {190, 150, 255}, {255, 160, 130},
    {130, 130, 20}, {30, 75, 130},   {150, 255, 190}, {110, 20, 110}, {200, 200, 200}, {110, 110, 120},
};

static uint8_t channel(double value)
{
	return (uint8_t)(value * 255 + 0.5);
}

/* hue, saturation and value in 0 .. 1, hue below 1 */
static struct frcnn_colour from_hsv(double hue, double saturation, double value)
{
	int sector = (int)(hue * 6);
	double f = hue * 6 - sector;
	uint8_t v = channel(value);
	uint8_t p = channel(value * (1 - saturation));
	uint8_t q = channel(value * (1 - saturation * f));
	uint8_t t = channel(value * (1 - saturation * (1 - f)));

	switch (sector) {
	case 0:
		return (struct frcnn_colour){v, t, p};
	case 1:
		return (struct frcnn_colour){q, v, p};
	case 2:
		return (struct frcnn_colour){p, v, t};
	case 3:
		return (struct frcnn_colour){p, q, v};
	case 4:
		return (struct frcnn_colour){t, p, v};
	default:
		return (struct frcnn_colour){v, p, q};
	}
}

struct frcnn_colour frcnn_draw_colour(int64_t category_id)
{
	uint64_t index = (uint64_t)category_id - 1; /* ids begin at 1; any other number is as good */
	double turns;

	if (index < FRCNN_COUNT(table))
		return table[index];
	/* Steps of the golden section spread hues evenly, however many there are. */
	turns = (double)(index % 100003) * 0.6180339887498949;
	return from_hsv(turns - (double)(int64_t)turns, index % 2 ? 0.85 : 0.55, index % 3 ? 0.95 : 0.7);
}

int64_t frcnn_draw_colour_key(const char *name)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return (int64_t)hash + (int64_t)FRCNN_COUNT(table) + 1;
}
