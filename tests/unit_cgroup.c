/* Where this process's control group is, from the kernel's words. */
#include "supervise/cgroup.h"
#include "tests/common/common.h"

static void own_is_the_path_of_version_2(void **state)
{
	static const struct {
		const char *text, *path;
		int r;
	} rows[] = {
		{"0::/\n", "/", 0},
		{"0::/user.slice/a b\n", "/user.slice/a b", 0},
		{"12:pids:/x\n1:name=systemd:/y\n0::/z/0::/w\n", "/z/0::/w", 0},
		{"10::/x\n", "", -ENOENT},
		{"4:memory:/0::/x\n", "", -ENOENT},
		{"", "", -ENOENT},
		{"0::/0123456789012345678901234567890123456789\n", "", -ENAMETOOLONG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char path[32] = "";

		assert_int_equal(cgroup_own(rows[i].text, path, sizeof(path)), rows[i].r);
		assert_string_equal(path, rows[i].path);
	}
}

static void a_mount_is_one_of_version_2(void **state)
{
	static const struct {
		const char *line, *root, *point;
	} rows[] = {
		{"31 24 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw", "/",
	         "/sys/fs/cgroup"},
		{"31 24 0:27 /a/b /mnt/with\\040blank\\134 rw - cgroup2 none rw", "/a/b",
	         "/mnt/with blank\\"},
		{"31 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu", NULL, NULL},
		{"31 24 0:27 / /x rw - tmpfs - cgroup2 rw", NULL, NULL},
		{"31 24 0:27 - cgroup2 x", "-", "cgroup2"}, /* nothing that a kernel writes; no harm */
		{"31 - cgroup2 ", NULL, NULL},
		{"", NULL, NULL},
	};
	static struct mount mount;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(mount_parse(rows[i].line, CGROUP2_TYPE, &mount), rows[i].root != NULL);
		if (rows[i].root == NULL)
			continue;
		assert_string_equal(mount.root, rows[i].root);
		assert_string_equal(mount.point, rows[i].point);
	}
}

/* The same reader tells which file systems in memory may be written to. */
static void a_mount_is_of_the_type_that_is_asked_for(void **state)
{
	static const char line[] = "40 1 0:30 / /mnt/with\\040blank rw shared:1 - tmpfs tmpfs rw";
	static struct mount mount;

	(void)state;
	assert_true(mount_parse(line, "tmpfs", &mount));
	assert_string_equal(mount.point, "/mnt/with blank");
	assert_false(mount_parse(line, "tmp", &mount));
	assert_false(mount_parse(line, "tmpfsx", &mount));
	assert_false(mount_parse(line, CGROUP2_TYPE, &mount));
}

static void a_mount_that_is_too_long_is_none(void **state)
{
	static char line[3 * PATH_MAX];
	static struct mount mount;
	size_t used = (size_t)sprintf(line, "31 24 0:27 / /");

	(void)state;
	memset(line + used, 'x', 2 * PATH_MAX);
	strcpy(line + used + 2 * PATH_MAX, " rw - cgroup2 cgroup2 rw");
	assert_false(mount_parse(line, CGROUP2_TYPE, &mount));
}

static void a_directory_is_what_the_mount_shows(void **state)
{
	static const struct {
		struct mount mount;
		const char *own, *path;
		int r;
	} rows[] = {
		{{"/", "/cg"}, "/", "/cg", 0},
		{{"/", "/cg"}, "/a/b", "/cg/a/b", 0},
		{{"/a", "/cg"}, "/a/b", "/cg/b", 0},
		{{"/a", "/cg"}, "/a", "/cg", 0},
		{{"/a", "/cg"}, "/ab", "", -ENOENT},
		{{"/a", "/cg"}, "/", "", -ENOENT},
		{{"/", "/cg"}, "/../other", "", -ENOENT}, /* outside of the namespace */
		{{"/", "/cg"}, "/0123456789012345678901234567890123456789", "", -ENAMETOOLONG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char path[32] = "";

		assert_int_equal(cgroup_directory(&rows[i].mount, rows[i].own, path, sizeof(path)),
		                 rows[i].r);
		if (rows[i].r == 0)
			assert_string_equal(path, rows[i].path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_is_the_path_of_version_2),
		cmocka_unit_test(a_mount_is_one_of_version_2),
		cmocka_unit_test(a_mount_is_of_the_type_that_is_asked_for),
		cmocka_unit_test(a_mount_that_is_too_long_is_none),
		cmocka_unit_test(a_directory_is_what_the_mount_shows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
