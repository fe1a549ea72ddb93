/*
 * Words of a VM's configuration. A table; see vm_config.h.
 */
#include <crvm/addr.h>
#include <crvm/percpu.h>
#include <crvm/printf.h>
#include <crvm/status.h>
#include <crvm/string.h>

#include "vm_config.h"

#define MEM_MIN (64ul << 10)
#define MEM_MAX (3ul << 30) /* devices lie above */
#define AT_MAX	0xf0000u    /* a real-mode start */

static bool set_name(struct vm_config *c, const char *value)
{
	for (const char *s = value; *s; s++)
		if (!((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') || *s == '-'))
			return false;
	return *value && str_copy(c->name, sizeof(c->name), value, strlen(value));
}

static bool set_mem(struct vm_config *c, const char *value)
{
	return !str_to_u64(value, &c->mem) && c->mem >= MEM_MIN && c->mem <= MEM_MAX &&
	       !(c->mem & (PAGE_SIZE - 1));
}

static bool set_at(struct vm_config *c, const char *value)
{
	return !str_to_u64(value, &c->at) && c->at <= AT_MAX && !(c->at & 15);
}

static bool set_cpu(struct vm_config *c, const char *value)
{
	uint64_t n;

	if (str_to_u64(value, &n) || n >= CPU_MAX)
		return false;
	c->cpu = (int)n;
	return true;
}

static bool set_vpid(struct vm_config *c, const char *value)
{
	c->vpid = strcmp(value, "on") == 0;
	return c->vpid || strcmp(value, "off") == 0;
}

static const struct {
	const char *key, *valid;
	bool (*set)(struct vm_config *c, const char *value);
} keys[] = {
	{"name", "1 to 15 of a-z 0-9 -", set_name},
	{"mem", "64K to 3G, in steps of 4K", set_mem},
	{"at", "an address up to 0xf0000, a multiple of 16", set_at},
	{"cpu", "the number of a physical CPU", set_cpu},
	{"vpid", "on or off", set_vpid},
};

bool vm_config_is_guest(const char *text)
{
	return strncmp(text, "guest", 5) == 0 && (text[5] == ' ' || text[5] == '\0');
}

static int parse_word(struct vm_config *c, char *word, unsigned *seen, char *error, size_t size)
{
	char *value = strchr(word, '=');

	if (value)
		*value++ = '\0';
	for (unsigned i = 0; i < array_count(keys); i++) {
		if (strcmp(keys[i].key, word) != 0)
			continue;
		if (*seen & 1u << i)
			str_printf(error, size, "'%s' is there twice", word);
		else if (!value || !keys[i].set(c, value))
			str_printf(error, size, "'%s=%s': must be %s", word, value ? value : "",
				   keys[i].valid);
		else {
			*seen |= 1u << i;
			return OK;
		}
		return E_INVAL;
	}
	str_printf(error, size, "unknown word '%s'; known: name mem at cpu vpid", word);
	return E_INVAL;
}

int vm_config_parse(struct vm_config *c, const char *text, char *error, size_t size)
{
	unsigned seen = 0;
	char word[64];

	*c = (struct vm_config){
		.mem = 16ul << 20, .at = 0x7c00, .cpus = 1, .cpu = -1, .vpid = true};
	text += 5; /* `guest` */
	for (;;) {
		size_t n = 0;

		while (*text == ' ')
			text++;
		if (!*text)
			break;
		while (text[n] && text[n] != ' ')
			n++;
		if (!str_copy(word, sizeof(word), text, n)) {
			str_printf(error, size, "a word is longer than %zu bytes",
				   sizeof(word) - 1);
			return E_INVAL;
		}
		if (parse_word(c, word, &seen, error, size))
			return E_INVAL;
		text += n;
	}
	if (!c->name[0]) {
		str_printf(error, size, "there is no name=");
		return E_INVAL;
	}
	return OK;
}
