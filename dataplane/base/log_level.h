/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log_level — how much a log line matters. */
#pragma once

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG };
