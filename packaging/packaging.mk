# SPDX-License-Identifier: GPL-2.0-or-later
# Programs as they are packed: the objects of the release, linked once more for each format with the package's name and
# version in them (https://systemd.io/ELF_PACKAGE_METADATA). The targets for people are in the Makefile.

# An rpm is for distributions that name the libraries of LMDB and libyaml differently: it brings them.
PACKAGE_LIBS_deb := $(LIBS)
PACKAGE_LIBS_rpm := $(filter %.a,$(LIBS)) -Wl,-Bstatic -llmdb -lyaml -Wl,-Bdynamic -lm
FORMATS_deb := deb
FORMATS_rpm := rpm
FORMATS_packages := deb rpm
# Where packages go; another folder for another version:  make packages PACKAGES=build/next PACKAGE_VERSION=1.2.4
PACKAGES := $(OUT)/packages
package_programs = $(patsubst %,$(PACKAGES)/$(1)/programs/%,$(PROGRAMS))

# The man pages and completions until the programs write them themselves: then MAN_PAGES is set before this.

# One after the other: each begins with the release.
rpm: | $(filter deb,$(MAKECMDGOALS))

$(PACKAGES)/version: force
	@mkdir -p $(@D)
	@packaging/package.py version >$@.new
	@cmp -s $@.new $@ && rm -f $@.new || mv $@.new $@

define package_format
$(call package_programs,$(1)): $(PACKAGES)/$(1)/programs/%: $(OUT)/release/% $(PACKAGES)/version
	@mkdir -p $$(@D)
	@echo "  LINK  $$@"
	@note=$$$$(packaging/package.py note $(1) $$*) && \
		$$(CC) $$(LDFLAGS) $$(LTO_release) -Xlinker "--package-metadata=$$$$note" $$(package_objects) $$(PACKAGE_LIBS_$(1)) -o $$@
$(PACKAGES)/$(1)/programs/penstockd: package_objects = $(call objects,release,dataplane/main.c) $(OUT)/release/libpenstock.a
$(PACKAGES)/$(1)/programs/penstockctl: package_objects = $(call objects,release,$(CTL_SRC)) $(OUT)/release/libpenstock.a
$(PACKAGES)/$(1)/programs/penstock-bench: package_objects = $(call objects,release,$(BENCH_SRC)) $(OUT)/release/libpenstock.a
endef
$(foreach format,$(FORMATS_packages),$(eval $(call package_format,$(format))))
