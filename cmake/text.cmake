# add_text_header(OUTPUT NAME FILE): a header with the text of a file as `static const char NAME[]`.
function(add_text_header output name file)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "(..)" "0x\\1," octets "${hex}")
    string(REGEX REPLACE "((0x..,){20})" "\\1\n    " octets "${octets}")
    file(CONFIGURE OUTPUT ${output} CONTENT "static const char ${name}[] = {\n    ${octets}0x00};\n" @ONLY)
endfunction()
