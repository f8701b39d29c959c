# SPDX-License-Identifier: MIT
# The build runs this for embed().
string(REPLACE "," ";" PAIRS "${PAIRS}")
set(text "#include \"${HEADER}\"\n")
foreach(pair IN LISTS PAIRS)
  string(REGEX MATCH "^([^=]*)=(.*)$" pair ${pair})
  file(READ ${CMAKE_MATCH_2} bytes HEX)
  set(name ${CMAKE_MATCH_1})
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
  string(APPEND text "\nconst char ${name}[] = {\n${bytes}0};\n")
endforeach()
file(WRITE ${OUTPUT} "${text}")
