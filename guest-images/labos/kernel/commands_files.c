/*
 * Commands for files and text.
 */

#include "console.h"
#include "fs.h"
#include "lib.h"
#include "shell.h"

enum { PIECE = 128 };

static void say(const char *name, enum fs_result result)
{
	if (result != FS_OK)
		print("%s: %s\n", name, fs_result_text(result));
}

static void run_ls(char *arguments)
{
	char name[FS_NAME_SIZE];
	uint32_t size, i;

	(void)arguments;
	for (i = 0; fs_list(i, name, &size); i++) {
		if (name[0])
			print("%8u  %s\n", size, name);
	}
	if (i == 0)
		print("%s\n", fs_result_text(FS_NO_DISK));
	else
		print("%u KiB free\n", fs_free_blocks() * (fs_block_size() / 1024));
}

static void run_cat(char *arguments)
{
	char piece[PIECE];
	uint32_t offset = 0;
	uint32_t done, i;
	enum fs_result result;

	do {
		result = fs_read(arguments, offset, piece, sizeof(piece), &done);
		console_lock();
		for (i = 0; i < done; i++)
			console_put(piece[i]);
		console_unlock();
		offset += done;
	} while (result == FS_OK && done > 0);
	say(arguments, result);
}

static void run_write(char *arguments)
{
	char name[FS_NAME_SIZE + 1];
	size_t length;

	/* A name that is too long stays so. */
	string_copy(name, shell_word(&arguments), sizeof(name));
	length = strlen(arguments);
	/* A file of text ends with a line's end, which takes the place of the string's. */
	arguments[length] = '\n';
	say(name, fs_write(name, arguments, length + 1));
	arguments[length] = 0;
}

static void run_rm(char *arguments)
{
	say(arguments, fs_remove(arguments));
}

static void run_echo(char *arguments)
{
	print("%s\n", arguments);
}

const struct command commands_files[] = {
	{"ls", "", "files", run_ls},
	{"cat", "FILE", "show a file", run_cat},
	{"write", "FILE TEXT", "make a file of this text", run_write},
	{"rm", "FILE", "delete a file", run_rm},
	{"echo", "TEXT", "say it again", run_echo},
	{0},
};
