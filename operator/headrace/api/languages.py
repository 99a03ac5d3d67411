"""The languages that a text can be told to be in: those that the workers' model knows, and no other.

Codes of ISO 639-1 where a language has one, of ISO 639-3 else. Norwegian is `no` in Bokmål and `nn` in Nynorsk.
"""

from enum import StrEnum

Language = StrEnum(
    "Language",
    "AF AM AN AR AS AZ BA BE BG BN BR BS CA CS CY DA DE DZ EL EN EO ES ET EU FA FI FO FR FY GA GD GL GU HA HE HI HR "
    "HT HU HY ID IG IS IT JA JV KA KK KM KN KO KU KY LA LB LG LN LO LT LV MG MK ML MN MR MS MT MY NE NL NN NO OC OM "
    "OR PA PL PS PT QU RO RU RW SA SE SI SK SL SN SO SQ SR ST SV SW TA TE TG TH TK TL TR TT UG UK UR UZ VI VO WA XH "
    "YO ZH ZU "
    "ACE ARY ARZ BCL CRH EXT FUV GCF GCR GOM GRC GUG GUW HBO KAB KIK LIJ LTG NSO PCM SDH UZS VEC WUU YUE",
)
