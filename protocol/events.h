/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Events
 *
 * What the service writes into the journal, for who reads it there: the message ids, each with an entry in
 * systemd/vfio-broker.catalog, and the names of the fields. Installed.
 */

#define LOG_ID_ACQUIRED     "32fa23b17b5740248a57b32340692268"
#define LOG_ID_REFUSED      "52ad674a91124ad99139d612eaeb61b8"
#define LOG_ID_ENDED        "41a56754a8054554aa29e5b02900d75c"
#define LOG_ID_RENEWED      "3c154ff2b9ae42008e2fdc4e2bb46070"
#define LOG_ID_CLAIMED      "8d4f11d25b764d1fa2d66f2379aa139f"
#define LOG_ID_LINGERING    "623fe8a83c9049669094a737b3502251"
#define LOG_ID_RESET        "422945ccbc06412a9db7aeebbfcb0cc9"
#define LOG_ID_RELEASED     "def7b6c44b324a66bddccb4d0b72af92"
#define LOG_ID_QUARANTINED  "838f402a2e4d489d96891cb1ff408d22"
#define LOG_ID_RETURNED     "636d072bd9f8465ca3a5c338a8120d24"
#define LOG_ID_DEVICE_GONE  "6cab0c52f2724823b5dbc815343c7efd"
#define LOG_ID_AWAITED      "1d3f8a6e5b7c4f0e8f5c2c9d4a61b7e3"
#define LOG_ID_BOUND        "7c1f3e7c1a604f0e9c1ad3c4a3a6d8b2"
#define LOG_ID_GIVEN_BACK   "e0a8b34d4b6f4b6aa3a92a5ac1b2c7f4"
#define LOG_ID_NOT_BOUND    "9b5d1f60c58e4ed2b8f4cb1f8d3e6a71"
#define LOG_ID_FUNCTIONS    "4be0c2a9d7f04c3fa1a5e86b20f7d953"
#define LOG_ID_STOLEN       "5c0b6a1e3f7d4c19a8d2e94f7b60c3d5"
#define LOG_ID_HANGS        "b2d7c9e41f3a4c58a6e05d8f7b9c1e23"
#define LOG_ID_STARTED      "bfe3261156f345e0a48197d498bd9feb"
#define LOG_ID_STOPPED      "32828a6410b14423b8d819dba9174b5c"
#define LOG_ID_CUT          "0322fd3cbc76489cbb366bf0cca5cac2"
#define LOG_ID_NOT_CUT      "921928166e924b2d9f2697357d513fa0"
#define LOG_ID_RESTORED     "5ef8ad8a5f0d4fd0a5f2ad45bcb2d2a1"
#define LOG_ID_STATE        "0d5b3c8f8c4b4c3c9a2f41c67e1be0c4"
#define LOG_ID_REVOKING     "68235eadc7be4369879c49856a21bbd5"
#define LOG_ID_REVOKE_STEP  "e753bde30b3e4d1899badc565011796d"
#define LOG_ID_STILL_BUSY   "ad24e35556b04b08ba35ff4afa7bbe69"
#define LOG_ID_REVOKED      "2a25beb770e94b5d80a62115051a6e3f"
#define LOG_ID_HOOK_STARTED "aec6a5b0e1e847c7a6f4865952475ad2"
#define LOG_ID_HOOK_FAILED  "cc258a15836b4a09a2733bd6a985e5ea"
#define LOG_ID_HOOK_WRONG   "da63e1c49dcc4ef593171cf012a3b332"
#define LOG_ID_CONFIG       "c05c7bcc8c494e96bf563703bfb92d76"

/* A field may be there more than once, such as the device of a lease that has several. The journal keeps their values,
 * but not their order. */
#define LOG_FIELD_LEASE  "VFIO_BROKER_LEASE"
#define LOG_FIELD_DEVICE "VFIO_BROKER_DEVICE"
#define LOG_FIELD_DRIVER "VFIO_BROKER_DRIVER" /* of these */
#define LOG_FIELD_UID    "VFIO_BROKER_UID"
#define LOG_FIELD_ERROR  "VFIO_BROKER_ERROR"
#define LOG_FIELD_RESET  "VFIO_BROKER_RESET"
#define LOG_FIELD_REASON "VFIO_BROKER_REASON"

/* Whoever writes to the journal may choose these fields. This one is the journal's own word. */
#define LOG_UNIT "vfio-broker.service"
